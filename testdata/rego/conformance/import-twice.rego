# opa: error: rego_compile_error: import must not shadow import data.a.x
package t

import data.a.x
import data.b.x

result := 1
