# opa: 3
package t

import data.t as self

x := 3

result := self.x
