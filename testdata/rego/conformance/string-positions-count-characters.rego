# opa: [2,"éll",5,"bc","",-1]
package t

result := [indexof("héllo", "l"), substring("héllo", 1, 3), count("héllo"), substring("abc", 1, -1), substring("abc", 5, 1), indexof("abc", "z")]
