//! The commands of a shell script, as far as they can be told without running it.
//!
//! Not a shell: enough of its words, quotes, operators and comments to find which programs are
//! called. What cannot be told is left out rather than guessed.

/// A command of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its words, without their quotes.
    pub(crate) words: Vec<String>,
    /// The line of the script in which its first word stands, from 0.
    pub(crate) line: u32,
}

/// The commands of a script. Those in `$(…)`, backquotes and brackets are commands of their own;
/// texts in quotes are words.
pub(crate) fn commands(script: &str) -> Vec<Command> {
    from_line(script, 0, 0)
}

/// Nobody writes commands in commands any deeper, and each level is read once more.
const MAX_DEPTH: usize = 8;

fn from_line(script: &str, line: u32, depth: usize) -> Vec<Command> {
    let mut lexer = Lexer {
        rest: Characters {
            text: script.chars().collect::<Vec<_>>().into_iter().peekable(),
            line,
        },
        commands: Vec::new(),
        words: Vec::new(),
        first_line: line,
        word: String::new(),
        in_word: false,
        heredocs: Vec::new(),
        depth,
    };
    lexer.run();
    lexer.commands
}

/// Characters, with the line that they are in.
struct Characters {
    text: std::iter::Peekable<std::vec::IntoIter<char>>,
    line: u32,
}

impl Characters {
    fn peek(&mut self) -> Option<&char> {
        self.text.peek()
    }

    fn next_if(&mut self, test: impl Fn(&char) -> bool) -> Option<char> {
        if self.peek().is_some_and(test) {
            self.next()
        } else {
            None
        }
    }

    fn next_if_eq(&mut self, wanted: &char) -> Option<char> {
        self.next_if(|c| c == wanted)
    }
}

impl Iterator for Characters {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.text.next();
        self.line += u32::from(c == Some('\n'));
        c
    }
}

struct Lexer {
    rest: Characters,
    commands: Vec<Command>,
    words: Vec<String>,
    /// The line of the first of the words.
    first_line: u32,
    word: String,
    in_word: bool,
    /// The marks that end texts which begin behind this line.
    heredocs: Vec<String>,
    /// How many commands it stands in.
    depth: usize,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => match self.rest.next() {
                    // A line goes on.
                    Some('\n') => {}
                    Some('\r') if self.rest.peek() == Some(&'\n') => {
                        self.rest.next();
                    }
                    Some(escaped) => self.push(escaped),
                    None => {}
                },
                '\'' => self.quoted('\''),
                '"' => self.quoted('"'),
                '#' if !self.in_word => self.comment(),
                '\n' => {
                    self.end_command();
                    self.skip_heredocs();
                }
                ' ' | '\t' | '\r' => self.end_word(),
                ';' | '|' | '&' | '(' | ')' | '`' => self.end_command(),
                '$' if self.rest.peek() == Some(&'(') => {
                    self.rest.next();
                    self.end_command();
                }
                '$' if self.rest.peek() == Some(&'{') => self.braces(),
                '<' if self.rest.peek() == Some(&'<') => self.heredoc(),
                '<' | '>' => self.end_word(),
                c => self.push(c),
            }
        }
        self.end_command();
    }

    fn push(&mut self, c: char) {
        self.begin_word();
        self.word.push(c);
    }

    fn begin_word(&mut self) {
        if !self.in_word && self.words.is_empty() {
            self.first_line = self.rest.line;
        }
        self.in_word = true;
    }

    fn end_word(&mut self) {
        if self.in_word {
            self.words.push(std::mem::take(&mut self.word));
            self.in_word = false;
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.commands.push(Command {
                words: std::mem::take(&mut self.words),
                line: self.first_line,
            });
        }
    }

    fn comment(&mut self) {
        while self.rest.next_if(|c| *c != '\n').is_some() {}
    }

    /// Text in quotes is part of a word. What `$(…)` in double quotes calls is a command, too.
    fn quoted(&mut self, quote: char) {
        self.begin_word();
        while let Some(c) = self.rest.next() {
            match c {
                c if c == quote => return,
                '\\' if quote == '"' => {
                    if let Some(escaped) = self.rest.next() {
                        self.word.push(escaped);
                    }
                }
                '$' if quote == '"' && self.rest.peek() == Some(&'(') => {
                    self.rest.next();
                    let line = self.rest.line;
                    let inner = self.substitution();
                    if self.depth < MAX_DEPTH {
                        self.commands
                            .extend(from_line(&inner, line, self.depth + 1));
                    }
                }
                c => self.word.push(c),
            }
        }
    }

    /// The text up to the bracket that closes `$(`.
    fn substitution(&mut self) -> String {
        let mut depth = 1;
        let mut inner = String::new();
        for c in self.rest.by_ref() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inner.push(c);
        }
        inner
    }

    /// `${…}` and `${{ … }}` are part of a word, whatever they hold.
    fn braces(&mut self) {
        self.begin_word();
        self.word.push('$');
        let mut depth = 0;
        for c in self.rest.by_ref() {
            self.word.push(c);
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '\n' => return,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// `<<EOF`: the lines up to that mark are a text.
    fn heredoc(&mut self) {
        self.rest.next();
        if self.rest.next_if_eq(&'<').is_some() {
            // `<<<` gives a word.
            return;
        }
        self.rest.next_if_eq(&'-');
        while self.rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        let mut mark = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| !c.is_whitespace() && !matches!(c, ';' | '|' | '&' | ')' | '>'))
        {
            if !matches!(c, '\'' | '"' | '\\') {
                mark.push(c);
            }
        }
        self.heredocs.push(mark);
    }

    fn skip_heredocs(&mut self) {
        for mark in std::mem::take(&mut self.heredocs) {
            loop {
                let mut line = String::new();
                while let Some(c) = self.rest.next_if(|c| *c != '\n') {
                    line.push(c);
                }
                let is_over = self.rest.next().is_none();
                if is_over || line.trim() == mark {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(script: &str) -> Vec<String> {
        commands(script).iter().map(|c| c.words.join(" ")).collect()
    }

    #[test]
    fn operators_lines_and_substitutions_part_commands() {
        assert_eq!(joined("a b && c | d; e\nf"), ["a b", "c", "d", "e", "f"]);
        assert_eq!(joined("a \\\n  --b c"), ["a --b c"]);
        assert_eq!(
            joined("x=$(kubectl apply -f -)"),
            ["x=", "kubectl apply -f -"]
        );
        assert_eq!(
            joined("echo \"got $(kubectl get x)\""),
            ["kubectl get x", "echo got "]
        );
        assert_eq!(joined("(cd a && b)"), ["cd a", "b"]);
        assert_eq!(joined("a & b"), ["a", "b"]);
    }

    #[test]
    fn comments_quotes_and_texts_are_no_commands() {
        assert_eq!(joined("# kubectl apply\na # b"), ["a"]);
        assert_eq!(joined("echo 'kubectl apply; x'"), ["echo kubectl apply; x"]);
        assert_eq!(
            joined("cat <<'EOF' | b\nkubectl apply\nEOF\nc"),
            ["cat", "b", "c"]
        );
        assert_eq!(joined("a ${{ b && c }} d"), ["a ${{ b && c }} d"]);
        assert_eq!(joined("a <<< word"), ["a word"]);
        assert_eq!(joined("a#b"), ["a#b"]);
    }

    #[test]
    fn commands_know_their_lines() {
        let lines = |script: &str| commands(script).iter().map(|c| c.line).collect::<Vec<_>>();
        assert_eq!(lines("a\n\nb \\\n c\nd $(\n e)"), [0, 2, 4, 5]);
        assert_eq!(lines("cat <<E\nx\ny\nE\nb"), [0, 4]);
        assert_eq!(lines("# a\nb"), [1]);
    }

    #[test]
    fn deep_nesting_is_survived() {
        assert!(commands(&"\"$(".repeat(100_000)).len() <= MAX_DEPTH + 1);
        assert!(commands(&"$(".repeat(100_000)).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[ab$(){}<>\\\\'\"`#&|;\n -]{0,60}") {
            commands(&text);
        }
    }
}
