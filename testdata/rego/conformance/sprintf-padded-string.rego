# opa: "   ab|"
package t

result := sprintf("%5s|", ["ab"])
