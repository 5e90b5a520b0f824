# opa: "\\*.a\\[b\\]"
package t

result := glob.quote_meta("*.a[b]")
