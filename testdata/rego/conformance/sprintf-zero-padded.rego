# opa: ["00042","   42|"]
package t

result := [sprintf("%05d", [42]), sprintf("%5d|", [42])]
