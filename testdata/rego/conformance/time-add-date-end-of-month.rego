# opa: 1709337600000000000
package t

result := time.add_date(1706659200000000000, 0, 1, 0)
