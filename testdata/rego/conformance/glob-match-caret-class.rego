# opa: false
package t

result := glob.match("[^a-c]x", [], "dx")
