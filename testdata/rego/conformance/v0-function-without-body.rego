# opa: [true,true,false]
package t

accept("any", _)

accept("one", x) = y {
	y := x == 1
}

result = [accept("any", 5), accept("one", 1), accept("one", 2)]
