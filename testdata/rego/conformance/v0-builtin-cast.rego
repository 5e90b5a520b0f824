# opa: [[1],"a",[1]]
package t

result = [cast_array({1}), cast_string("a"), cast_set([1])]
