# opa: [1709164800000000000,1709164800000000000]
package t

result := [time.parse_ns("2006-01-02", "2024-02-29"), time.parse_ns("Jan 2, 2006", "Feb 29, 2024")]
