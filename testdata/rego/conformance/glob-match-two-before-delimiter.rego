# opa: [false,true,false]
package t

result := [glob.match("??", ["/"], "a/"), glob.match("*?", ["/", ":"], ":"), glob.match("c*/?", ["/"], "cd/é")]
