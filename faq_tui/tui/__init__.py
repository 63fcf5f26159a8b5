"""The app. It talks to core through events, jobs and the store only; torch is never loaded in its process."""
