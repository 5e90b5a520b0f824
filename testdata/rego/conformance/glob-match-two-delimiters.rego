# opa: false
package t

result := glob.match("ghcr.io/*", ["/", ":"], "ghcr.io/a:1")
