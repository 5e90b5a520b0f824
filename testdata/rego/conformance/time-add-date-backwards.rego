# opa: 1608854400000000000
package t

result := time.add_date(1709164800000000000, -1, -13, -400)
