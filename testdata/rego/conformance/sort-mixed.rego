# opa: [null,true,1.5,3,"a",[1],{"a":1}]
package t

result := sort([3, "a", null, [1], {"a": 1}, true, 1.5])
