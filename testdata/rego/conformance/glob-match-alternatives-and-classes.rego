# opa: [true,true,true,false]
package t

result := [glob.match("{a,b}-*", [], "b-x"), glob.match("[a-c]x", [], "bx"), glob.match("[!a-c]x", [], "dx"), glob.match("a?c", ["."], "a.c")]
