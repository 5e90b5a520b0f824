# input: {"a":{"b":7}}
# opa: 7
package t

import input.a.b as c

result := c
