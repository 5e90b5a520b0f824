# opa: undefined
package t

result if not 1 / 0 == 1
