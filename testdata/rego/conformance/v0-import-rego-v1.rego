# opa: true
package t

import rego.v1

result if 1 in [1]
