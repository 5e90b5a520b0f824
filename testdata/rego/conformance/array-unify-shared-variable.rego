# opa: [1,1]
package t

result := [x, y] if {
	[x, y] = [y, 1]
	y = 1
}
