# input: {"x":null}
# opa: ["d",null,[]]
package t

result := [object.get(input, ["x", "y"], "d"), object.get(input, "x", "d"), [y | y := object.get(input.x, "y", "d")]]
