# opa: [true,true,false]
package t

result := [glob.match("?", [], ""), glob.match("[!a]", [], ""), glob.match("***", [], "")]
