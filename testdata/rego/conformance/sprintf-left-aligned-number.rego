# opa: "42   |"
package t

result := sprintf("%-5d|", [42])
