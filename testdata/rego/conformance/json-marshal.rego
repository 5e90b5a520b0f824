# opa: "{\"a\":{\"d\":[]},\"b\":[1,\"x\",null,true,1.5]}"
package t

result := json.marshal({"b": [1, "x", null, true, 1.5], "a": {"d": set()}})
