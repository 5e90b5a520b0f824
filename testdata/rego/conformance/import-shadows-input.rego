# opa: error: rego_parse_error: unexpected identifier token: expected var
package t

import data.lib as input

result := 1
