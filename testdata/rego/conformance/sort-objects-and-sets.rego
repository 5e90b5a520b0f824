# opa: [{},{"a":1},[],[1]]
package t

result := sort([{"a": 1}, {1}, {}, set()])
