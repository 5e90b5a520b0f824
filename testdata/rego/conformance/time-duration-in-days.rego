# opa: 86400000000000
package t

result := time.parse_duration_ns("1d")
