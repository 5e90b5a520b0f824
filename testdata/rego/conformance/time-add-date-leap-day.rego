# opa: 1740787200000000000
package t

result := time.add_date(1709164800000000000, 1, 0, 0)
