# opa: "\"a\\\"b\""
package t

result := sprintf("%q", ["a\"b"])
