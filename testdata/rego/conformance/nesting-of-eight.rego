# opa: [[[[[[[[1]]]]]]]]
package t

result := [[[[[[[[1]]]]]]]]
