# opa: [null,true,1,"a",[1],{"k":1}]
package t

result := {"a", 1, null, [1], true, {"k": 1}}
