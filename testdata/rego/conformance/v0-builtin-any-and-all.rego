# opa: [true,false,false,true]
package t

result = [any([false, true]), all([true, false]), any([]), all([])]
