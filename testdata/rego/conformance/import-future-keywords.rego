# opa: true
package t

import future.keywords.contains
import future.keywords.every
import future.keywords.if
import future.keywords.in
import rego.v1

result if 1 in [1]
