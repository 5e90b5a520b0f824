# opa: [true,false,true,false]
package t

result := [glob.match("*.example.com", ["."], "a.example.com"), glob.match("*.example.com", ["."], "a.b.example.com"), glob.match("**.example.com", ["."], "a.b.example.com"), glob.match("ghcr.io/*", ["/"], "ghcr.io/a/b")]
