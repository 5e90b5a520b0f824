# opa: "\"\\u003ca\\u0026b\\u003e\""
package t

result := json.marshal("<a&b>")
