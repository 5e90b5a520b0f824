# opa: ["STRAßE","ασ"]
package t

result := [upper("straße"), lower("ΑΣ")]
