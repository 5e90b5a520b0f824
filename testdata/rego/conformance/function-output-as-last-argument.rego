# opa: 2
package t

result := n if count([1, 2], n)
