"""The chat-intent suite: its synthetic utterances, its trained candidates, and the script that makes both."""
