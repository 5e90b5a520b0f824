# opa: "a%!(EXTRA string=b)"
package t

result := sprintf("%s", ["a", "b"])
