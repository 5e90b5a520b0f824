# opa: [true,false,false,true,true]
package t

result := [regex.match(`^\<\_\012\x{e9}$`, "<_\né"), regex.is_valid(`\u00e9`), regex.is_valid(`(?x:a)`), regex.is_valid(`a{,2}`), regex.match(`^a{,2}$`, "a{,2}")]
