# opa: ["a","b","c"]
package t

result := regex.split("", "abc")
