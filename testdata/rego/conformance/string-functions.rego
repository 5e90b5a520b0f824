# opa: ["AB","ab","a","a","1","a","bbb","cba",3]
package t

result := [upper("ab"), lower("AB"), trim_space(" a "), trim("xax", "x"), trim_prefix("v1", "v"), trim_suffix("a.b", ".b"), replace("aaa", "a", "b"), strings.reverse("abc"), strings.count("cheese", "e")]
