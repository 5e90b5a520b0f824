# opa: "set() [] {}"
package t

result := sprintf("%v %v %v", [set(), [], {}])
