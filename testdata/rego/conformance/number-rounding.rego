# opa: [3,-3,0,2,-2,1.5]
package t

result := [round(2.5), round(-2.5), round(0.4), ceil(1.2), floor(-1.2), abs(-1.5)]
