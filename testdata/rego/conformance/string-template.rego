# opa: "replicas 2"
package t

result := $"replicas {1 + 1}"
