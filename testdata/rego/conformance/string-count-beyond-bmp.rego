# opa: 1
package t

result := count("😀")
