# opa: [true,true,true,true]
package t

result := [glob.match("{a,{b,c}}/?", ["/"], "c/é"), glob.match("ghcr.io/{a,b}/*", ["/"], "ghcr.io/a/x"), glob.match("\\{a", [], "{a"), glob.match("{a", [], "a")]
