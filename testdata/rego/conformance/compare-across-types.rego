# opa: [true,true,true,true,true,true,false,false]
package t

result := [null < false, false < 0, 9 < "", "z" < [], ["z"] < {}, {} < set(), true == 1, "1" == 1]
