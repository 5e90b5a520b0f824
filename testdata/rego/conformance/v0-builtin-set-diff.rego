# opa: [2]
package t

result = set_diff({1, 2}, {1})
