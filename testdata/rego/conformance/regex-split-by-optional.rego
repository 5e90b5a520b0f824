# opa: ["a","b"]
package t

result := regex.split("x*", "axb")
