# opa: "a %!s(MISSING)"
package t

result := sprintf("%s %s", ["a"])
