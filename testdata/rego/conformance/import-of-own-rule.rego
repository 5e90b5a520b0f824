# opa: 3
package t

import data.t.x as y

x := 3

result := y
